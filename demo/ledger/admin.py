from __future__ import annotations

from django.contrib import admin

from .models import Account, Transfer


@admin.register(Account)
class AccountAdmin(admin.ModelAdmin):
    search_fields = ("name",)


@admin.register(Transfer)
class TransferAdmin(admin.ModelAdmin):
    date_hierarchy = "made_at"
    list_display = ("made_at", "paid_from", "paid_into", "amount", "memo")
    list_filter = ("paid_from", "paid_into")
    list_select_related = ("paid_from", "paid_into")
