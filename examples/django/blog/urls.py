import django
from django.http import HttpResponse
from django.templatetags.static import static
from django.urls import path


def front(request):
    return HttpResponse(f'<link rel="stylesheet" href="{static("blog/style.css")}"><p>Hello from Django {django.__version__}')


urlpatterns = [path("", front)]
