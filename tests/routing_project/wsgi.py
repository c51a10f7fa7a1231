"""What gunicorn serves; it may be told to touch a replica before it forks."""

import os

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()

if alias := os.environ.get("TOUCH_BEFORE_FORK"):
    from ..replica_app.models import Note

    list(Note.objects.using(alias))
