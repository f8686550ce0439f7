"use strict";

/* Draws the pictures, turns the tables' pages, switches light and dark. What it works on is the
   JSON beside it (page/data.py); what is read without it stands in the page already. */

/* Zeros of a picture's arrays, in base 64, are stored as their count in brackets. */
const filled = (bytes) => bytes.replace(/\((\d+)\)/g, (_, count) => "A".repeat(count));
const stored = document.getElementById("data").textContent;
const data = JSON.parse(stored, (name, value) => (name === "bdata" ? filled(value) : value));
const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 30rem)");
const config = { displaylogo: false, responsive: true };

document.querySelectorAll("[hidden]").forEach((part) => { part.hidden = false; });

/* Light and dark: as the system says, until the button is pressed. */

const isDark = () => (root.style.colorScheme ? root.style.colorScheme === "dark" : system.matches);
const theme = () => data.themes[isDark() ? "dark" : "light"];

const toggle = document.getElementById("theme");
const offer = () => { toggle.textContent = isDark() ? "Light" : "Dark"; };

function repaint() {
  offer();
  plots.forEach((plot) => Plotly.relayout(plot, theme()));
}

toggle.addEventListener("click", () => {
  root.style.colorScheme = isDark() ? "light" : "dark";
  repaint();
});
system.addEventListener("change", repaint);
offer();

/* Pictures. Of several to choose from, all but the first are stored as what they have otherwise. */

function figureOf(figures, index) {
  const [first, own] = [figures[0], figures[index]];
  return structuredClone({
    data: own.data.map((trace, i) => ({ ...first.data[i], ...trace })),
    layout: { ...first.layout, ...own.layout },
  });
}

/* On a phone there is no room beside a map, nor for the names of axes in large letters. */
function fitPhone({ data: traces, layout }) {
  layout.font = { ...layout.font, size: 11 };
  traces.filter((trace) => trace.colorbar).forEach(({ colorbar }) => {
    colorbar.title.side = "top";
    Object.assign(colorbar, { orientation: "h", y: 1, yanchor: "bottom", thickness: 10 });
  });
}

function picture(frame) {
  const { title, says, figures } = data.pictures[frame.dataset.picture];
  const [plot, select] = [frame.querySelector(".plot"), frame.querySelector("select")];
  plot.show = () => {
    const index = Number(select?.value ?? 0);
    const figure = figureOf(figures, index);
    plot.style.height = `${figure.layout.height}px`;
    if (narrow.matches) fitPhone(figure);
    Plotly.react(plot, figure.data, { ...figure.layout, ...theme() }, config);
    plot.setAttribute("aria-label", [title, says[index]].filter(Boolean).join(". "));
    frame.querySelector("figcaption").textContent = says[index];
  };
  select?.addEventListener("change", plot.show);
  plot.replaceChildren();
  plot.show();
  return plot;
}

const plots = [...document.querySelectorAll("[data-picture]")].map(picture);
narrow.addEventListener("change", () => plots.forEach((plot) => plot.show()));

/* On paper: light, and as wide as a page. */

addEventListener("beforeprint", () => {
  plots.forEach((plot) => Plotly.relayout(plot, { ...data.themes.light, width: 620 }));
});
addEventListener("afterprint", () => {
  plots.forEach((plot) => Plotly.relayout(plot, { ...theme(), width: null, autosize: true }));
});

/* Tables. */

const unknown = "-";
const collator = new Intl.Collator("en", { numeric: true });
const counted = new Intl.NumberFormat("en");

function table(section) {
  const { title, rows, columns } = data.tables[section.dataset.table];
  const find = (what) => section.querySelector(what);
  const heads = [...section.querySelectorAll("thead th")];
  const search = find("input");
  const text = (column, row) => String(column.cells[row] ?? unknown);
  const every = Array.from({ length: rows }, (_, row) => row);
  const state = { shown: every, page: 0, column: null, down: false };
  let lowered = null; // Each row's texts, made when first searched.

  const has = (row, words) => {
    lowered ??= every.map((i) => columns.map((column) => text(column, i)).join("\n").toLowerCase());
    return words.every((word) => lowered[row].includes(word));
  };

  function choose() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = every.filter((row) => has(row, words));
    if (state.column) shown.sort(comparison(state.column, state.down));
    Object.assign(state, { shown, page: 0 });
    render();
  }

  function render() {
    const [from, to] = [state.page * data.page_rows, (state.page + 1) * data.page_rows];
    const cells = (row) => columns.map((column) => [column, text(column, row)]);
    const lines = state.shown.slice(from, to).map((row) => line(cells(row)));
    find("tbody").replaceChildren(...lines);
    const all = state.shown.length === rows ? "" : ` (${counted.format(rows)} in all)`;
    const numbers = [from + 1, from + lines.length, state.shown.length];
    const [first, last, found] = numbers.map((number) => counted.format(number));
    const told = lines.length ? `${first}–${last} of ${found}` : "no row";
    find("output").textContent = told + all;
    find(".before").disabled = state.page === 0;
    find(".after").disabled = to >= state.shown.length;
  }

  function turn(by) {
    state.page += by;
    render();
  }

  heads.forEach((head, i) => head.querySelector("button").addEventListener("click", () => {
    state.down = state.column === columns[i] && !state.down;
    state.column = columns[i];
    heads.forEach((each) => each.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    choose();
  }));
  search.addEventListener("input", choose);
  find(".before").addEventListener("click", () => turn(-1));
  find(".after").addEventListener("click", () => turn(1));
  find(".csv").addEventListener("click", () => {
    const names = columns.map((column) => harmless(column.name));
    save(title, [names, ...state.shown.map((row) => columns.map((column) => plain(column, row)))]);
  });
  find(".pager").hidden = rows <= data.page_rows;
  search.hidden = rows <= data.page_rows;
  render();
}

/* Numbers by their size, texts as people sort them; what is unknown comes last both ways. */
function comparison(column, down) {
  const keys = column.ranks ?? column.cells;
  const known = column.numeric ? (a, b) => a - b : (a, b) => collator.compare(a, b);
  return (one, other) => {
    const [a, b] = [keys[one] ?? null, keys[other] ?? null];
    if (a === null || b === null) return (a === null) - (b === null);
    return down ? known(b, a) : known(a, b);
  };
}

function line(cells) {
  const made = document.createElement("tr");
  for (const [column, text] of cells) {
    const cell = made.insertCell();
    cell.textContent = text;
    if (column.numeric) cell.className = "n";
  }
  return made;
}

/* For other programs: numbers without separators, nothing for what is unknown, and no text that a
   spreadsheet takes for a formula. */
const harmless = (text) => (/^[=@\t\r]|^[+-](?!$|\.?\d[\d.,]*$)/.test(text) ? `'${text}` : text);

function plain(column, row) {
  const text = String(column.cells[row] ?? "");
  return column.numeric ? text.replaceAll(",", "") : harmless(text);
}

function save(title, lines) {
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const csv = lines.map((cells) => cells.map(quoted).join(",") + "\r\n").join("");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv], { type: "text/csv" }));
  link.download = `${title.toLowerCase().replace(/[^a-z0-9]+/g, "-").slice(0, 40)}.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
}

document.querySelectorAll("[data-table]").forEach(table);

/* Commands. Where the clipboard is closed to the page, the command is selected for Ctrl-C. */

document.querySelectorAll(".copy").forEach((button) => {
  button.addEventListener("click", async () => {
    const command = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(command.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(command);
    }
  });
});
