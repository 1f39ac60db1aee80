"""What a registration is judged by, each measure under the name of its definition."""
