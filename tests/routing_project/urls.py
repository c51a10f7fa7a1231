from django.urls import path

from . import views

urlpatterns = [
    path("write", views.write),
    path("write/atomic", views.write_in_atomic),
    path("write/stream", views.write_and_stream),
    path("write/fail", views.write_and_fail),
    path("read/<int:number>", views.read),
    path("nothing", views.nothing),
    path("replica/<str:alias>", views.read_replica),
    path("async/write", views.write_async),
    path("async/read/<int:number>", views.read_async),
    path("async/nothing", views.nothing_async),
]
