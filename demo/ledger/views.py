from __future__ import annotations

from django.contrib import messages
from django.core.management import CommandError
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from . import backup
from .forms import TransferForm
from .models import Account, Transfer

_ROWS_PER_PAGE = 12


@require_http_methods(["GET", "HEAD", "POST"])
def ledger(request: HttpRequest) -> HttpResponse:
    form = TransferForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        messages.success(request, f"Recorded: {form.save()}.")
        return redirect("ledger")
    transfers = Transfer.objects.select_related("paid_from", "paid_into")
    context = {
        "accounts": Account.objects.with_balance(),
        "page": Paginator(transfers, _ROWS_PER_PAGE).get_page(request.GET.get("page")),
        "form": form,
        "backup": backup.backup(),
    }
    return render(request, "ledger/ledger.html", context)


@require_POST
def verify(request: HttpRequest) -> HttpResponse:
    try:
        messages.success(request, backup.verify())
    except CommandError as error:
        messages.error(request, str(error))
    return redirect("ledger")
