#!/usr/bin/env python3
"""Reads {"template": text, "cases": [{"messages": [...], variables}, ...]} and prints what jinja2 renders, set up as
transformers does; null where the template raises."""
import json
import sys

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


request = json.load(sys.stdin)
environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
environment.globals["raise_exception"] = raise_exception
template = environment.from_string(request["template"])
answers = []
for case in request["cases"]:
    try:
        answers.append(template.render(**case))
    except jinja2.exceptions.TemplateError:
        answers.append(None)
json.dump(answers, sys.stdout)
