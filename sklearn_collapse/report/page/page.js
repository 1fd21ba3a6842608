"use strict";
// Sorting, filter, theme and downloads. Without it the page is complete.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const say = (text) => { document.getElementById("status").textContent = text; };
  for (const element of all("[data-script]")) element.hidden = false;

  // Theme: the system's until another is chosen.
  const themes = ["system", "light", "dark"];
  const button = document.getElementById("theme");
  const remember = (theme) => {
    try { localStorage.setItem("sklearn-collapse-theme", theme); } catch { /* file: or private */ }
  };
  const remembered = () => {
    try { return localStorage.getItem("sklearn-collapse-theme"); } catch { return null; }
  };
  const show = (theme) => {
    document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  };
  show(themes.includes(remembered()) ? remembered() : "system");
  button.addEventListener("click", () => {
    const current = document.documentElement.dataset.theme;
    const theme = themes[(themes.indexOf(current) + 1) % themes.length];
    show(theme);
    remember(theme);
    say(`Theme: ${theme}`);
  });

  // Sorting: within the groups of a table; a third press restores the order.
  const next = { none: "ascending", ascending: "descending", descending: "none" };
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    if (!("value" in cell.dataset)) return cell.textContent.trim();
    return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  };
  const compare = (a, b) => typeof a === "number" && typeof b === "number"
    ? (a > b) - (a < b)
    : String(a).localeCompare(String(b), "en", { numeric: true });
  const sort = (table, header, column) => {
    const order = next[header.getAttribute("aria-sort")];
    for (const other of all("thead th", table)) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", order);
    const sign = order === "descending" ? -1 : 1;
    for (const body of table.tBodies) {
      const rows = [...body.rows].filter((row) => row.dataset.order);
      rows.sort((first, second) => {
        const place = first.dataset.order - second.dataset.order;
        if (order === "none") return place;
        const [a, b] = [valueOf(first, column), valueOf(second, column)];
        const missing = (value) => value === null || value === "";
        if (missing(a) || missing(b)) return missing(a) - missing(b) || place;
        return sign * compare(a, b) || place;
      });
      body.append(...rows);
    }
    const name = header.textContent.trim();
    say(order === "none" ? "Original order" : `Sorted by ${name}, ${order}`);
  };
  for (const table of all("table[data-sortable]")) {
    const rows = all("tbody tr", table).filter((row) => row.cells.length > 1);
    rows.forEach((row, k) => { row.dataset.order = k; });
    all("thead th", table).forEach((header, column) => {
      const label = document.createElement("button");
      label.type = "button";
      label.dataset.sort = column;
      label.append(...header.childNodes);
      header.append(label);
      header.setAttribute("aria-sort", "none");
      label.addEventListener("click", () => sort(table, header, column));
    });
  }

  // Filter of metrics by name, meaning and source.
  for (const input of all("input[data-filter]")) {
    const table = document.getElementById(input.dataset.filter);
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/);
      let found = 0;
      for (const body of table.tBodies) {
        const rows = [...body.rows].filter((row) => row.dataset.order);
        for (const row of rows) {
          const text = row.textContent.toLowerCase();
          row.hidden = !words.every((word) => text.includes(word));
        }
        const left = rows.filter((row) => !row.hidden).length;
        body.hidden = left === 0;
        found += left;
      }
      say(`${found} ${found === 1 ? "metric" : "metrics"}`);
    });
  }

  // Downloads: the numbers of the whole report.
  const source = document.getElementById("numbers").textContent;
  const save = (text, type, name) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const csv = (report) => {
    const lines = [["layer", "section", "rows", "of", "name", "value"]];
    for (const layer of report.layers) {
      const add = (section, rows, of, values) => {
        for (const [name, value] of Object.entries(values)) {
          lines.push([layer.name, section, rows, of, name, value]);
        }
      };
      for (const section of ["collapse", "alignment"]) {
        add(section, "training", "", layer[section].train);
        add(section, "test", "", layer[section].held_out);
      }
      for (const [label, values] of Object.entries(layer.classes)) {
        add("classes", "", label, values);
      }
      for (const [scatter, values] of Object.entries(layer.whitening)) {
        add("whitening", "", scatter, values);
      }
      for (const { set, detector, ...values } of layer.ood) add("ood", set, detector, values);
    }
    const cell = (value) => {
      let text = value === null ? "" : String(value);
      // Of labels and names: nothing that a spreadsheet would run.
      if (/^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) && text !== "-inf") text = `'${text}`;
      return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    return lines.map((line) => line.map(cell).join(",") + "\r\n").join("");
  };
  document.getElementById("download-json").addEventListener("click", () => {
    save(source, "application/json", "report.json");
  });
  document.getElementById("download-csv").addEventListener("click", () => {
    save(csv(JSON.parse(source)), "text/csv", "report.csv");
  });

  // Layers are folded: links into them and printing open them.
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let e = target; e; e = e.parentElement) if (e.matches("details.layer")) e.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  if (location.hash) reveal();
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details.layer:not([open])");
    for (const layer of folded) layer.open = true;
  });
  addEventListener("afterprint", () => { for (const layer of folded) layer.open = false; });
})();
