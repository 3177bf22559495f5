"""A chat backend with FastAPI, as many are written. Its response model has a
field for every key of a reply, so each answer carries the other keys too, as
null. Its request model wants a session: set REQUIRE_SESSION=true in Parley.

    pip install fastapi uvicorn && PORT=3002 python3 app.py
    RELAY_URL=http://localhost:3002/chat REQUIRE_SESSION=true parley
"""

import logging
import os

import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

app = FastAPI()


class Message(BaseModel):
    prompt: str
    session_id: str


class Reply(BaseModel):
    output: str | None = None
    content: str | None = None
    content_type: str | None = None
    content_attributes: dict | None = None


@app.post("/chat", response_model=Reply)
async def chat(message: Message):
    try:
        logging.info("[%s] %s", message.session_id, message.prompt)
        return Reply(**await answer(message.prompt))
    except Exception:
        logging.exception("no answer")
        raise HTTPException(status_code=500, detail="Something went wrong here.")


async def answer(prompt):
    if "nothing" in prompt:
        raise ValueError("there is nothing to say")
    return {"output": f"Thank you for writing: '{prompt}'"}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", 3002)))
