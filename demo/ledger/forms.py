from __future__ import annotations

from django import forms

from .models import Transfer


class TransferForm(forms.ModelForm):
    class Meta:
        model = Transfer
        fields = ("paid_from", "paid_into", "amount", "memo")
