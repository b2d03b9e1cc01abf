// Attention: a grid of heads shaded by a measure; of the chosen head, a line from each token (left)
// to each that it looks at (right). A token under the pointer keeps its own lines alone.
for (const part of document.querySelectorAll(".attention")) {
  const data = JSON.parse(part.querySelector("script").textContent);
  const { tokens, layers, heads, maps } = data;
  const measures = new Map(data.measures);
  const bytes = Uint8Array.from(atob(maps), (letter) => letter.charCodeAt(0));
  const [select, readout, svg] = ["select", ".readout", ".lines"].map((name) => part.querySelector(name));
  const cells = [...part.querySelectorAll("td")];
  const size = tokens.length;
  const [step, left, right, width] = [23, 210, 430, 640];
  let chosen = cells[0];

  const share = (row, column, from, to) =>
    bytes[((row * heads.length + column) * size + from) * size + to] / 255;
  const shape = (name, attributes, text = "") => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text;
    return element;
  };
  const number = (value) => (value === null ? "–" : value.toFixed(2));

  const shade = () => {
    const values = measures.get(select.value);
    const known = values.flat().filter((value) => value !== null);
    const [low, high] = [Math.min(...known), Math.max(...known)];
    for (const td of cells) {
      const [row, column] = place(td);
      const value = values[row][column];
      const strength = value === null ? 0 : (value - low) / Math.max(high - low, 1e-9);
      td.textContent = number(value);
      td.style.setProperty("--shade", strength.toFixed(3));
      td.classList.toggle("strong", strength > STRONG);
    }
    part.querySelector(".measure").textContent = `Heads by layer: ${select.value}.`;
  };

  const say = (td, more = "") => {
    const [row, column] = place(td);
    const all = [...measures].map(([name, values]) => `${name} ${number(values[row][column])}`);
    readout.replaceChildren(
      line("b", `layer ${layers[row]}, head ${heads[column]}`), line("span", more || all.join(" · ")));
  };

  // Of one token on one side, its lines alone, and what each is in per cent.
  const only = (side, token) => {
    const [row, column] = place(chosen);
    for (const path of svg.querySelectorAll("line"))
      path.style.visibility = !side || path.dataset[side] === String(token) ? "visible" : "hidden";
    for (const text of svg.querySelectorAll("text")) {
      const own = Number(text.dataset.token);
      const value = text.dataset.side === "from" ? share(row, column, own, token) : share(row, column, token, own);
      const label = side && text.dataset.side !== side && value >= 0.005 ? `${Math.round(100 * value)} %` : "";
      const between = label && (text.dataset.side === "from" ? `${label}  ${tokens[own]}` : `${tokens[own]}  ${label}`);
      text.textContent = between || tokens[own];
      text.classList.toggle("here", Boolean(side) && text.dataset.side === side && own === token);
    }
    if (!side) return say(chosen);
    const values = tokens.map((_, other) => side === "from" ? share(row, column, token, other) : share(row, column, other, token));
    const most = values.indexOf(Math.max(...values));
    const [a, b] = side === "from" ? [token, most] : [most, token];
    say(chosen, `${tokens[a]} → ${tokens[b]}: ${Math.round(100 * values[most])} %`);
  };

  const draw = (td) => {
    chosen.classList.remove("here");
    chosen = td;
    chosen.classList.add("here");
    const [row, column] = place(td);
    svg.setAttribute("viewBox", `0 0 ${width} ${step * size + 8}`);
    svg.replaceChildren();
    const y = (token) => step * token + 18;
    for (let from = 0; from < size; from++)
      for (let to = 0; to < size; to++) {
        const value = share(row, column, from, to);
        if (value < 0.02) continue;
        const path = shape("line", { x1: left + 8, y1: y(from) - 5, x2: right - 8, y2: y(to) - 5, "stroke-opacity": value.toFixed(2) });
        Object.assign(path.dataset, { from, to });
        svg.append(path);
      }
    tokens.forEach((token, index) => {
      for (const [side, x, anchor] of [["from", left, "end"], ["to", right, "start"]]) {
        const text = shape("text", { x, y: y(index), "text-anchor": anchor, tabindex: 0 }, token);
        Object.assign(text.dataset, { side, token: index });
        svg.append(text);
      }
    });
    say(td);
  };

  for (const name of measures.keys()) select.append(line("option", name));
  select.addEventListener("change", shade);
  for (const kind of ["mouseover", "focusin"])
    svg.addEventListener(kind, (event) => {
      const { side, token } = event.target.dataset;
      if (token !== undefined && side) only(side, Number(token));
      else if (kind === "mouseover") only();
    });
  svg.addEventListener("mouseleave", () => only());
  for (const hidden of [part.querySelector(".controls"), readout, svg]) hidden.removeAttribute("hidden");
  shade();
  roam(part, [0, 0], (td) => say(td), draw);
  draw(cells[0]);
}
