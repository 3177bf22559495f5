"""A chat backend with Flask, as many are written: prompts come to /chat, and
words in them decide on the reply. Parley stands before it, so it needs no CORS,
no rate limit and no sessions of its own.

    pip install flask && PORT=3002 python3 app.py
    RELAY_URL=http://localhost:3002/chat parley
"""

import logging
import os

from flask import Flask, jsonify, request

app = Flask(__name__)
logging.basicConfig(level=logging.INFO)


@app.route("/chat", methods=["POST"])
def chat():
    try:
        message = request.get_json()
        logging.info("[%s] %s", message.get("session_id", ""), message["prompt"])
        return jsonify(answer(message["prompt"].lower()))
    except Exception:
        logging.exception("no answer")
        return jsonify({"output": "Something went wrong here. Please try again."}), 500


def answer(prompt):
    if "help" in prompt or "support" in prompt:
        return {
            "content": "These pages may have the answer:",
            "content_type": "article",
            "content_attributes": {
                "items": [
                    {"title": "Manual", "description": "How everything works", "link": "https://docs.example.com/manual"},
                    {"title": "Questions", "description": "And their answers", "link": "https://docs.example.com/faq"},
                ]
            },
        }
    if "product" in prompt or "buy" in prompt:
        return {
            "content": "This is what we have:",
            "content_type": "card",
            "content_attributes": {
                "cards": {
                    "title": "Plans",
                    "cards": [
                        {
                            "title": "Premium",
                            "description": "Everything in one plan",
                            "image": "https://shop.example.com/premium.jpg",
                            "link": "https://shop.example.com/premium",
                            "linkText": "Read more",
                            "price": "$29 a month",
                        }
                    ],
                }
            },
        }
    return {"output": "Hello! What can I do for you?"}


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", 3002)))
