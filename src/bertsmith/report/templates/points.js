// Points: a plane a layer; a point under the pointer says what it is, a tag under it is picked out.
for (const part of document.querySelectorAll(".points")) {
  const { places, labels, groups, colours, notes } = JSON.parse(part.querySelector("script").textContent);
  const [slider, output, legend, svg, readout] =
    ["input", "output", ".legend", "svg", ".readout"].map((name) => part.querySelector(name));
  const [width, height, edge] = [640, 420, 12];
  const colour = Object.fromEntries(colours);
  const dots = labels.map((label, index) => {
    const dot = document.createElementNS(svg.namespaceURI, "circle");
    dot.setAttribute("r", 4);
    dot.dataset.index = index;
    dot.style.fill = `var(--${colour[groups[index]]})`;
    svg.append(dot);
    return dot;
  });

  const arrange = () => {
    const layer = Number(slider.value);
    const points = places[layer];
    const scale = [0, 1].map((axis) => {
      const values = points.map((point) => point[axis]);
      const [low, high] = [Math.min(...values), Math.max(...values)];
      const room = (axis ? height : width) - 2 * edge;
      return (value) => edge + (room * (value - low)) / Math.max(high - low, 1e-9);
    });
    points.forEach(([x, y], index) => {
      dots[index].setAttribute("cx", scale[0](x).toFixed(1));
      dots[index].setAttribute("cy", (height - scale[1](y)).toFixed(1));
    });
    output.textContent = `${layer}: ${notes[layer]}`;
  };
  const pick = (group) => {
    for (const dot of dots) dot.classList.toggle("faint", group !== "" && groups[dot.dataset.index] !== group);
  };

  for (const [group, name] of colours) {
    const entry = line("span", group);
    entry.tabIndex = 0;
    entry.style.color = `var(--${name})`;
    for (const kind of ["mouseenter", "focus"]) entry.addEventListener(kind, () => pick(group));
    for (const kind of ["mouseleave", "blur"]) entry.addEventListener(kind, () => pick(""));
    legend.append(entry);
  }
  svg.addEventListener("mouseover", (event) => {
    const { index } = event.target.dataset;
    if (index !== undefined) readout.textContent = labels[index];
  });
  slider.addEventListener("input", arrange);
  readout.textContent = "Point at a word, or at a tag.";
  part.hidden = false;
  arrange();
}
