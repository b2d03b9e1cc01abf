"use strict";
// Similarity matrices: the cell under the pointer, or reached with the arrow keys, says in
// words which two contexts it compares. Without this script the table still holds it all.
for (const matrix of document.querySelectorAll(".matrix")) {
  const readout = matrix.querySelector(".readout");
  const contexts = [...matrix.querySelectorAll("tbody th > span > span")];
  const columns = [...matrix.querySelectorAll("thead th")].slice(1);
  const cell = (row, column) =>
    matrix.querySelector(`td[data-row="${row}"][data-column="${column}"]`);

  const line = (tag, text) => {
    const element = document.createElement(tag);
    element.textContent = text;
    return element;
  };
  const place = (td) => [Number(td.dataset.row), Number(td.dataset.column)];

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
  const first = cell(0, Math.min(1, contexts.length - 1));
  if (first) first.tabIndex = 0;
  matrix.addEventListener("mouseover", (event) => {
    const td = event.target.closest("td");
    if (td) show(td);
  });
  matrix.addEventListener("focusin", (event) => {
    if (event.target.matches("td")) show(event.target);
  });
  matrix.addEventListener("keydown", (event) => {
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
}
