from django.urls import path

from . import views

urlpatterns = [
    path("append", views.append),
    path("newest/<str:ledger>", views.newest),
    path("range/<str:ledger>/<int:first>", views.rows_from),
    path("totals/<str:ledger>", views.totals),
]

handler500 = views.failed
