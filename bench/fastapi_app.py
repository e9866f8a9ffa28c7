"""A FastAPI application: parameters of path and query, a dependency, a model, and a route that runs in a thread."""

from typing import Annotated

from fastapi import Depends, FastAPI
from pydantic import BaseModel

app = FastAPI()


class Item(BaseModel):
    """What both routes answer."""

    id: int
    owner: int
    name: str
    tags: list[str]
    price: float


class Page(BaseModel):
    """The query of the first route."""

    limit: int
    text: str


async def page(limit: int = 10, q: str = "") -> Page:
    """The dependency."""
    return Page(limit=limit, text=q)


@app.get("/users/{owner}/items/{number}")
async def item(owner: int, number: int, wanted: Annotated[Page, Depends(page)]) -> Item:
    """The async route."""
    return Item(id=number, owner=owner, name=wanted.text, tags=["a"] * wanted.limit, price=1.5)


@app.get("/sync/{number}")
def sync_item(number: int) -> Item:
    """The sync route."""
    return Item(id=number, owner=1, name="lamp", tags=[], price=1.5)
