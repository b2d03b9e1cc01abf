"use strict";
// Without these scripts the tables still hold it all.

const line = (tag, text) => {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
};
const place = (td) => [Number(td.dataset.row), Number(td.dataset.column)];

// The cells of a table under `root`: `point` is called with the one under the pointer, `choose`
// with the one that is clicked or reached with the arrow keys.
const roam = (root, first, point, choose) => {
  const cell = (row, column) =>
    root.querySelector(`td[data-row="${row}"][data-column="${column}"]`);
  for (const td of root.querySelectorAll("td")) td.tabIndex = -1;
  if (cell(...first)) cell(...first).tabIndex = 0;
  root.addEventListener("mouseover", (event) => {
    const td = event.target.closest("td");
    if (td) point(td);
  });
  root.addEventListener("focusin", (event) => {
    if (event.target.matches("td")) choose(event.target);
  });
  root.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step || !event.target.matches("td")) return;
    const [row, column] = place(event.target);
    const next = cell(row + step[0], column + step[1]);
    if (!next) return;
    event.preventDefault();
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
};

// Similarity matrices: a cell says in words which two contexts it compares.
for (const matrix of document.querySelectorAll(".matrix")) {
  const readout = matrix.querySelector(".readout");
  const contexts = [...matrix.querySelectorAll("tbody th > span > span")];
  const columns = [...matrix.querySelectorAll("thead th")].slice(1);

  const show = (td) => {
    const [row, column] = place(td);
    for (const marked of matrix.querySelectorAll(".here")) marked.classList.remove("here");
    for (const part of [td, contexts[row].closest("th"), contexts[column].closest("th"), columns[column]])
      part.classList.add("here");
    readout.replaceChildren(
      line("b", td.textContent),
      line("span", `${row + 1}  ${contexts[row].textContent}`),
      line("span", `${column + 1}  ${contexts[column].textContent}`),
    );
  };

  readout.hidden = false;
  readout.textContent = "Point at a cell, or use the arrow keys, to read its two contexts.";
  roam(matrix, [0, Math.min(1, contexts.length - 1)], show, show);
}
