from __future__ import annotations

from datetime import datetime, timedelta

from django import forms
from django.utils import timezone

from .models import Transfer

_UNITS = (("seconds", "seconds"), ("minutes", "minutes"), ("hours", "hours"))


class TransferForm(forms.ModelForm):
    class Meta:
        model = Transfer
        fields = ("paid_from", "paid_into", "amount", "memo")


class LookBackForm(forms.Form):
    """How long ago the ledger is to be looked at."""

    number = forms.IntegerField(min_value=1, max_value=10_000, initial=30)
    unit = forms.ChoiceField(choices=_UNITS)

    @property
    def moment(self) -> datetime:
        """The moment that was asked for, once the form is valid."""
        given = self.cleaned_data
        return timezone.now() - timedelta(**{given["unit"]: given["number"]})
