"""What a test sees of a tree of widgets."""


def controls(view) -> dict:
    """Every control of a view by its label, and the texts under ``said``."""
    found, waiting = {"said": []}, [view]
    while waiting:
        widget = waiting.pop(0)
        waiting += getattr(widget, "children", ())
        if type(widget).__name__ == "HTML":
            found["said"].append(widget)
        elif label := getattr(widget, "description", "") or getattr(widget, "label", ""):
            found[label] = widget
    return found


def said(view) -> str:
    return "\n".join(html.value for html in controls(view)["said"])
