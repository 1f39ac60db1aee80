"use strict";
// The viewer: NiiVue with the volumes in this page. The prediction is an overlay, the reference an outline on top.
(() => {
  const section = document.getElementById("viewer");
  if (!section) return;
  const get = (id) => document.getElementById("viewer-" + id);
  const info = JSON.parse(get("data").textContent);
  const canvas = get("canvas");
  const sliders = [...section.querySelectorAll(".viewer-slice")];
  const colours = { R: [0], G: [0], B: [0], A: [0], I: [0], labels: [""] };
  for (const label of info.labels) {
    colours.R.push(label.rgb[0]);
    colours.G.push(label.rgb[1]);
    colours.B.push(label.rgb[2]);
    colours.A.push(255);
    colours.I.push(label.number);
    colours.labels.push(label.name);
  }
  let viewer = null;
  let starting = null;
  let wanted = 0;
  let shown = -1;
  let busy = false;

  function complain(text) {
    get("problem").textContent = text;
    get("problem").hidden = false;
    section.dataset.state = "failed";
  }

  const volume = (number, kind) =>
    niivue.NVImage.loadFromBase64({
      base64: document.getElementById(`volume-${number}-${kind}`).textContent,
      name: kind + ".nii.gz",
      ...(kind === "image" ? { cal_min: 0, cal_max: 255, colormap: "gray" } : { opacity: opacity() }),
      colorbarVisible: false,
    });

  const opacity = () => (get("prediction").checked ? Number(get("opacity").value) / 100 : 0);

  function layers() {
    if (viewer.volumes.length > 1) viewer.setOpacity(1, opacity());
    const there = info.cases[shown].reference && get("reference").checked;
    viewer.drawRimOpacity = there ? 1 : -1;
    viewer.setDrawOpacity(there ? 0.01 : 0); // the rim alone: hardly anything is filled
    viewer.drawScene();
  }

  function planes() {
    const flat = info.cases[shown].flat;
    viewer.setSliceType(flat ? 0 : Number(get("planes").value));
    get("planes").disabled = flat;
  }

  function follow() {
    if (!viewer || !viewer.volumes.length) return;
    const size = viewer.volumes[0].dimsRAS;
    for (const slider of sliders) {
      const axis = Number(slider.dataset.axis);
      const count = size[axis + 1];
      slider.max = count - 1;
      slider.disabled = count < 2;
      slider.value = Math.min(count - 1, Math.max(0, Math.floor(viewer.scene.crosshairPos[axis] * count)));
      slider.nextElementSibling.textContent = `${Number(slider.value) + 1} of ${count}`;
    }
  }

  function move(slider) {
    const axis = Number(slider.dataset.axis);
    const place = [...viewer.scene.crosshairPos];
    place[axis] = (Number(slider.value) + 0.5) / (Number(slider.max) + 1);
    viewer.scene.crosshairPos = place;
    viewer.drawScene();
    follow();
  }

  // One case after the other: what is asked for while one is loading is loaded next.
  async function open() {
    if (busy) return;
    busy = true;
    try {
      while (shown !== wanted) {
        const number = wanted;
        const one = info.cases[number];
        section.dataset.state = "loading";
        const image = await volume(number, "image");
        const prediction = one.prediction ? await volume(number, "prediction") : null;
        const reference = one.reference ? await volume(number, "reference") : null;
        for (const old of [...viewer.volumes].reverse()) viewer.removeVolume(old);
        viewer.closeDrawing();
        viewer.addVolume(image);
        if (prediction) {
          prediction.setColormapLabel(colours);
          viewer.addVolume(prediction);
        }
        if (reference) {
          viewer.loadDrawing(reference);
          viewer.setDrawColormap(colours);
        }
        shown = number;
        viewer.scene.crosshairPos = viewer.mm2frac(one.centre);
        get("prediction").disabled = !one.prediction;
        get("reference").disabled = !one.reference;
        get("text").textContent = one.text;
        get("case").value = String(number);
        planes();
        layers();
        follow();
      }
      section.dataset.shown = String(shown);
      section.dataset.state = "ready";
    } catch (error) {
      complain("The viewer cannot show this case: " + error.message);
    } finally {
      busy = false;
    }
  }

  async function start() {
    const probe = document.createElement("canvas").getContext("webgl2");
    if (!probe) {
      complain("This browser offers no WebGL 2, which the viewer needs. The pictures above need nothing.");
      return;
    }
    probe.getExtension("WEBGL_lose_context")?.loseContext();
    viewer = new niivue.Niivue({
      backColor: [0, 0, 0, 1],
      crosshairColor: [1, 0.95, 0.6, 1],
      crosshairWidth: 0.25,
      crosshairWidthUnit: "percent",
      crosshairGap: 8,
      fontColor: [1, 1, 1, 1],
      isRadiologicalConvention: true,
      sagittalNoseLeft: true,
      multiplanarShowRender: 0,
      isColorbar: false,
      dragAndDropEnabled: false,
      logLevel: "error",
      loadingText: "",
    });
    viewer.onLocationChange = follow;
    await viewer.attachToCanvas(canvas);
    await open();
  }

  const begin = () => (starting ??= start().catch((error) => complain("The viewer does not start: " + error.message)));
  const choose = (number) => {
    wanted = number;
    begin().then(() => viewer && open());
  };
  get("case").addEventListener("change", () => choose(Number(get("case").value)));
  get("planes").addEventListener("change", () => shown >= 0 && planes());
  for (const name of ["prediction", "reference"]) get(name).addEventListener("change", () => shown >= 0 && layers());
  get("opacity").addEventListener("input", () => shown >= 0 && layers());
  for (const slider of sliders) slider.addEventListener("input", () => shown >= 0 && move(slider));
  for (const link of document.querySelectorAll("[data-view]")) {
    link.addEventListener("click", () => choose(Number(link.dataset.view)));
  }
  new IntersectionObserver((entries, watcher) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watcher.disconnect();
    begin();
  }, { rootMargin: "300px" }).observe(section);
})();
