// The article's table of six architectures, next to the measured one.

import { el, table } from "./dom.js";
import { rate } from "./format.js";

/** @param {any} measured */
export function ladder(measured) {
  if (!measured) {
    return el("p", { class: "hint" }, [
      "The article's table of six architectures, measured: ",
      el("code", { text: "labctl table --quick" }),
      " takes about six minutes, and its result appears here.",
    ]);
  }
  const marks = /** @type {Record<string, string>} */ ({
    confirmed: "as in the article",
    refuted: "not as in the article",
    not_judged: "not judged",
  });
  const rows = measured.rows.map((/** @type {any} */ row) => {
    const says = (/** @type {string} */ column) => (row.cells[column] ? ` · ${marks[row.cells[column].says]}` : "");
    const article = row.article;
    return [
      `${row.number}. ${row.title}`,
      article ? `${article.thousands}k/s` : "–",
      `${rate(row.rate)}/s, ×${row.ratio?.toFixed(1) ?? "–"}${says("capacity")}`,
      article ? String(article.single_points) : "–",
      `${row.single_points.length}${says("single points of failure")}`,
      article ? `$${article.cost}` : "–",
      `$${row.cost}${says("monthly cost")}`,
    ];
  });
  return table(
    `The article's table, and what was measured (${measured.began.slice(0, 10)}${measured.quick ? ", quick" : ""})`,
    [
      "architecture",
      "capacity: article",
      "measured",
      "single points: article",
      "measured",
      "cost: article",
      "measured",
    ],
    rows,
  );
}
