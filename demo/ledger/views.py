from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.management import CommandError
from django.core.paginator import Paginator
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import format_html
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from django_litestream import time_travel
from django_litestream.errors import MomentNotHeld
from django_litestream.middleware import COOKIE

from . import backup, replica
from .forms import LookBackForm, TransferForm
from .models import Account, Transfer

_ROWS_PER_PAGE = 12


@require_http_methods(["GET", "HEAD", "POST"])
def ledger(request: HttpRequest) -> HttpResponse:
    form = TransferForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        messages.success(request, f"Recorded: {form.save()}.")
        return redirect("ledger")
    source = replica.choose_source()
    context = {
        **_rows(request, source.alias),
        "source": source,
        "waits": COOKIE in request.COOKIES,
        "form": form,
        "look_back": LookBackForm(),
        "backup": backup.backup(),
    }
    response = render(request, "ledger/ledger.html", context)
    response.headers["Ledger-Read-From"] = source.alias
    return response


@require_POST
def verify(request: HttpRequest) -> HttpResponse:
    try:
        messages.success(request, backup.verify())
    except CommandError as error:
        messages.error(request, str(error))
    return redirect("ledger")


@require_safe
def look_back(request: HttpRequest) -> HttpResponse:
    """Turn a time ago into the address of a moment, which stays where it is."""
    form = LookBackForm(request.GET)
    if form.is_valid():
        moment = form.moment.isoformat(timespec="milliseconds")
        return redirect(reverse("as_of", query={"moment": moment}))
    for error in form.errors.values():
        messages.error(request, error.as_text())
    return redirect("ledger")


@require_safe
def as_of(request: HttpRequest) -> HttpResponse:
    """Show the ledger as it was at a moment."""
    try:
        moment = datetime.fromisoformat(request.GET.get("moment", ""))
        with time_travel(replica.ALIAS, moment) as alias:
            context = {
                **_rows(request, alias),
                "moment": moment,
                "look_back": LookBackForm(),
            }
            return render(request, "ledger/as_of.html", context)
    except MomentNotHeld as error:
        messages.error(request, _oldest(error.oldest))
    except (ValueError, OperationalError) as error:
        messages.error(request, str(error))
    return redirect("ledger")


def _rows(request: HttpRequest, alias: str) -> dict[str, Any]:
    """Return what the templates show of the database ``alias``."""
    transfers = Transfer.objects.using(alias).select_related("paid_from", "paid_into")
    return {
        "accounts": Account.objects.using(alias).with_balance(),
        "page": Paginator(transfers, _ROWS_PER_PAGE).get_page(request.GET.get("page")),
    }


def _oldest(moment: datetime) -> str:
    return format_html(
        'That is before the backup begins. <a href="{}">The oldest moment there is</a> '
        "is {}.",
        reverse("as_of", query={"moment": moment.isoformat()}),
        date_format(moment, "j M Y, H:i:s e"),
    )
