from django.urls import path

from . import views

urlpatterns = [
    path("", views.ledger, name="ledger"),
    path("verify/", views.verify, name="verify"),
    path("look-back/", views.look_back, name="look_back"),
    path("as-of/", views.as_of, name="as_of"),
]
