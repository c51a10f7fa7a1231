"""What is asked of a site whose clock is set."""

from __future__ import annotations

import os
import time
from datetime import timedelta

from django.http import HttpRequest, JsonResponse
from django.urls import path

from django_litestream import time_travel
from soak.site import urls, views
from soak.site.models import Row
from tests.proof import journal


class _TrueTime:
    """The time of day as the test has it: what counts from the start is not set."""

    _began = float(os.environ["TRUE_TIME_AT_START"])

    def time(self) -> float:
        return self._began + time.monotonic()


# The journal is what the answers are judged by.
vars(journal)["time"] = _TrueTime()


def nothing(request: HttpRequest) -> JsonResponse:
    return views._answer()


def ago(request: HttpRequest, seconds: int) -> JsonResponse:
    """Answer with the last rows of a moment of the past, or why there are none."""
    when = timedelta(seconds=seconds)
    try:
        with time_travel("default_replica", when) as then:
            rows = Row._default_manager.using(then)
            return views._page(rows.order_by("-number")[:25])
    except ValueError as refusal:
        return JsonResponse({"refused": str(refusal)})


urlpatterns = [
    *urls.urlpatterns,
    path("nothing", nothing),
    path("ago/<int:seconds>", ago),
]
handler500 = urls.handler500
