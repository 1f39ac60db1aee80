"use strict";
// Outlines on and off, and the table of all cases: sorted by click or key, filtered, one measure at a time.
(() => {
  for (const kind of ["reference", "prediction"]) {
    const box = document.getElementById("outline-" + kind);
    if (box) box.addEventListener("change", () => document.body.classList.toggle("hide-" + kind, !box.checked));
  }
  const table = document.getElementById("cases");
  if (!table) return;
  const data = JSON.parse(document.getElementById("table-data").textContent);
  const body = table.tBodies[0];
  const rows = [...body.rows].map((element) => ({
    element,
    index: Number(element.dataset.row),
    name: element.cells[0].textContent,
    failed: element.classList.contains("failed"),
    pictured: "pictured" in element.dataset,
  }));
  const find = document.getElementById("table-find");
  const show = document.getElementById("table-show");
  const choice = document.getElementById("table-measure");
  const status = document.getElementById("table-status");
  const headers = [...table.tHead.rows[0].cells].filter((header) => header.querySelector("button"));
  const names = new Intl.Collator("en", { numeric: true });
  let measure = 0;
  let sorted = { column: 0, descending: false };

  const value = (row, column) => data.values[measure][column][row.index];
  const isPoor = (row) => (data.poor[measure] || []).some((column) => column.includes(row.index));
  const isMarked = (row) => data.marks.some((column) => column[row.index] === 1 || column[row.index] === 2);
  // Of measures without a sign what is far from 0 is poor, whichever side it lies on.
  const rank = (number) => (data.measures[measure].key.startsWith("volume") ? Math.abs(number) : number);

  function write() {
    const one = data.measures[measure];
    document.getElementById("table-caption").textContent = one.name + (one.unit ? " in " + one.unit : "");
    data.values[measure].forEach((figures, column) => {
      const poor = new Set(data.poor[measure][column]);
      for (const row of rows) {
        const cell = row.element.cells[column + 1];
        const number = figures[row.index];
        cell.textContent = number === null ? "–" : number.toFixed(one.digits);
        if (poor.has(row.index)) {
          const mark = document.createElement("abbr");
          mark.title = "unusually poor";
          mark.textContent = "▾";
          cell.append(mark);
        }
        const word = data.words[data.marks[column][row.index]];
        if (word) {
          const small = document.createElement("small");
          small.textContent = word;
          cell.append(small);
        }
      }
    });
  }

  function compare(a, b) {
    if (sorted.column === "name") return names.compare(a.name, b.name);
    if (a.failed !== b.failed) return 0; // settled by `order`
    const [x, y] = [value(a, sorted.column), value(b, sorted.column)];
    return x === null || y === null ? 0 : rank(x) - rank(y);
  }

  // Failed cases stay on top and cases without the figure at the end, whichever way the rest is sorted.
  function group(row) {
    if (sorted.column === "name") return 0;
    return row.failed ? 0 : value(row, sorted.column) === null ? 2 : 1;
  }

  function order() {
    const sign = sorted.descending ? -1 : 1;
    rows.sort((a, b) => group(a) - group(b) || sign * compare(a, b) || a.index - b.index);
    body.append(...rows.map((row) => row.element));
    for (const header of headers) {
      const here = header.firstElementChild.dataset.column === String(sorted.column);
      header.setAttribute("aria-sort", here ? (sorted.descending ? "descending" : "ascending") : "none");
    }
  }

  function filter() {
    const wanted = find.value.trim().toLowerCase();
    const kinds = { "": () => true, failed: (row) => row.failed, marked: isMarked, poor: isPoor, pictured: (row) => row.pictured };
    let seen = 0;
    for (const row of rows) {
      const there = row.name.toLowerCase().includes(wanted) && kinds[show.value](row);
      row.element.hidden = !there;
      seen += there;
    }
    const cases = rows.length === 1 ? "case" : "cases";
    status.textContent = (seen === rows.length ? "" : `${seen} of `) + `${rows.length} ${cases}.`;
  }

  table.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const column = button.dataset.column === "name" ? "name" : Number(button.dataset.column);
    sorted = { column, descending: sorted.column === column && !sorted.descending };
    order();
  });
  find.addEventListener("input", filter);
  show.addEventListener("change", filter);
  if (choice) {
    choice.addEventListener("change", () => {
      measure = Number(choice.value);
      write();
      if (sorted.column !== "name") sorted.descending = !data.measures[measure].higher; // the worst first
      order();
      filter();
    });
  }
  filter();
})();
