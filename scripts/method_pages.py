"""Write docs/methods/: a page for each objective, from its code and the committed results.

python scripts/method_pages.py
"""

import inspect
import json
import sys
from dataclasses import fields
from pathlib import Path

from neat_align.objectives import OBJECTIVES, Objective
from neat_align.objectives.contract import example_batch
from neat_align.report.glossary import entry, shown
from neat_align.study import load_methods, page
from neat_align.study.methods import BASE

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "methods"
RESULTS = ROOT / "docs" / "results" / "comparison.json"
SOURCE = "../../src/neat_align/objectives"
TERMS = {
    "lm": "the language-modelling term: the negative log-likelihood of the best response, nats "
    "per token (rrhf, slic and pro: nats per response, as their papers have it). Falling means "
    "that the policy makes its best answers likelier.",
    "rank": "the ranking term. It falls as better-scored responses become likelier than worse "
    "ones; at a floor with rising `kl` the groups are ordered and training should stop.",
    "penalty": "the penalty on what negative prompts brought out; falling means that it became "
    "unlikely on the clean query. Watch `kl` and `logps/chosen` with it.",
    "calibration": "the margin in nats per response that is still missing between best and worst.",
    "odds_ratio": "−log σ of the difference in log-odds; log 2 = 0.69 means no preference yet.",
    "kto": "1 minus the value of a response, between 0 and 1 (times its weight); 0.5 at the start.",
    "d2o": "−log σ of the others' mean log-ratio against each negative's; 0.69 at the start.",
    "sppo": "squared distance of the log-ratios from the win probabilities over β: large numbers "
    "at a small β are normal.",
    "lm/open": 'share of the groups whose best response is imitated; 1 with `lm_gate="off"`.',
    "kto/z": "the estimate of KL(policy ‖ reference) from mismatched pairs, cut off at 0, nats.",
}
PAIRWISE = (
    "−log σ of β times the winner's lead, or its variant above: log 2 = 0.69 at the start for "
    "the logistic ones; near 0 the pairs teach nothing more."
)
SHARED = Path(__file__).with_name("methods_head.md")


def main() -> None:
    """Write every page, or, with --check, tell which ones are out of date."""
    pages = all_pages()
    if "--check" in sys.argv:
        old = [name for name, text in pages.items() if not _same(FOLDER / name, text)]
        sys.exit(f"out of date: {', '.join(old)}" if old else 0)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages.items():
        (FOLDER / name).write_text(text)


def all_pages() -> dict[str, str]:
    """File name → text."""
    summary = json.loads(RESULTS.read_text()) if RESULTS.exists() else None
    pages = {f"{name}.md": method_page(cls, summary) for name, cls in OBJECTIVES.items()}
    pages["README.md"] = SHARED.read_text() + "\n" + index()
    return pages


def index() -> str:
    """Objectives, and what `neat compare` calls methods."""
    rows = [["objective", "in a line"]]
    for name, cls in OBJECTIVES.items():
        rows.append([f"[`{name}`]({name}.md)", _title(cls)])
    named = [["method of `neat compare`", "what it is", "samples", "settings tried"]]
    for method in load_methods().values():
        if method.name != BASE:
            sample = method.overlay.get("sample", {})
            counts = ", ".join(f"{n} {source}" for source, n in sample.items() if n) or "none"
            tried = "; ".join(f"{k} {list(v)}" for k, v in method.search.items()) or "rates only"
            tried = f"as {method.tuned_as}" if method.tuned_as else tried
            named.append([f"`{method.name}`", method.about, counts, tried])
    return f"{_grid(rows)}\n\n{_grid(named)}\n"


def method_page(cls: type[Objective], summary: dict | None) -> str:
    """One objective's page."""
    equation, paper, deviates = _docstring(cls)
    module = Path(inspect.getfile(cls)).name
    parts = [
        f"# {_title(cls)} (`{cls.name}`)",
        f"**Origin.** {paper}",
        f"**Equation.**\n\n```\n{equation}\n```",
        "**Reduction.** The formula for each group, the mean over the groups of the global batch "
        f"([shared rules](README.md)). Code: [{module}]({SOURCE}/{module}).",
        f"**Where it deviates.** {deviates[:1].upper()}{deviates[1:]}",
        f"**Needs.** {_needs(cls())}",
        f"**Parameters.**\n\n{_parameters(cls)}",
        f"**Logged besides what every method logs.**\n\n{_logged(cls())}",
        f"**Result.** {_result(cls, summary)}",
        f"**Command.** `neat compare world --methods {_compared(_method_of(cls))} --seeds "
        "10,11,12,13,14 --tune 4`, or in a recipe `objective: {name: " + cls.name + "}`.",
    ]
    return "\n\n".join(parts) + "\n"


def _docstring(cls: type[Objective]) -> tuple[str, str, str]:
    """Equation (with its notes), Paper and Deviates of a class docstring."""
    text = inspect.cleandoc(cls.__doc__ or "")
    body, _, rest = text.partition("Paper:")
    paper, _, deviates = rest.partition("Deviates:")
    return body.strip(), " ".join(paper.split()), " ".join(deviates.split())


def _title(cls: type[Objective]) -> str:
    module = sys.modules[cls.__module__]
    return (module.__doc__ or cls.name).strip().splitlines()[0].rstrip(".")


def _needs(objective: Objective) -> str:
    asked = {
        "the reference's log-probs": objective.needs_reference,
        "responses sampled under a negative prompt": objective.needs_negatives,
        "responses sampled without a prompt": objective.needs_plain,
        "the border between good and bad answers": objective.needs_border,
        "token log-probs": objective.needs_tokens,
        "mismatched pairs, which the trainer makes": objective.needs_kl,
    }
    found = [what for what, needed in asked.items() if needed]
    told = "; ".join(found) or "nothing beyond scores"
    return f"{told.capitalize()}; {objective.min_responses} or more responses per group."


def _parameters(cls: type[Objective]) -> str:
    rows = [["parameter", "default"], *([f"`{f.name}`", f"`{f.default}`"] for f in fields(cls))]
    return _grid(rows) if len(rows) > 1 else "None."


def _logged(objective: Objective) -> str:
    terms = objective(example_batch(0))
    lines = []
    for name in terms.terms:
        told = TERMS.get(name, PAIRWISE)
        lines.append(f"- `loss/{name}`: {told}")
    lines += [f"- `{name}`: {TERMS[name]}" for name in terms.metrics]
    return "\n".join(lines)


def _method_of(cls: type[Objective]) -> str:
    """Return the method of `neat compare` that stands for the objective."""
    names = load_methods()
    if cls.name in names:
        return cls.name
    return next(m.name for m in names.values() if m.overlay["objective"]["name"] == cls.name)


def _compared(method: str) -> str:
    """Return what to compare a method with: NEAT, or the base for NEAT itself."""
    return "base,neat" if method == "neat" else f"{method},neat"


def _result(cls: type[Objective], summary: dict | None) -> str:
    row = summary["variants"]["main"].get(_method_of(cls)) if summary else None
    if row is None or "figures" not in row:
        return (
            "Not among the methods of the committed comparison; the command below measures it. "
            "See [the results](../results.md) for those that are."
        )
    told = ", ".join(
        f"{entry(m).title.lower()} {shown(m, row['figures'][m]['value'])} "
        f"[{shown(m, row['figures'][m]['low'])}, {shown(m, row['figures'][m]['high'])}]"
        for m in page.compared([row["figures"]])[:9]
    )
    setting = ", ".join(f"`{k}` {v:g}" for k, v in row["setting"].items())
    return (
        f"On the generated world, test queries, {len(row['seeds'])} seeds: {told}. Chosen on "
        f"development queries: {setting}. All methods side by side: [results](../results.md)."
    )


def _same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


def _grid(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


if __name__ == "__main__":
    main()
