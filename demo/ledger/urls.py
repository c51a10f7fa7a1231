from django.urls import path

from . import views

urlpatterns = [
    path("", views.ledger, name="ledger"),
    path("verify/", views.verify, name="verify"),
]
