// A chat backend with Express, as many are written: prompts come to /chat, and
// words in them decide on the reply. Parley stands before it, so it needs no
// CORS, no rate limit and no sessions of its own.
//
//   npm install express && PORT=3002 node app.js
//   RELAY_URL=http://localhost:3002/chat parley
const express = require('express');

const app = express();
app.use(express.json());

app.post('/chat', (req, res) => {
  try {
    const { prompt, session_id } = req.body;
    console.log(`[${session_id}] ${prompt}`);
    res.json(answer(prompt.toLowerCase()));
  } catch (err) {
    console.error(err);
    res.status(500).json({ output: 'Something went wrong here. Please try again.' });
  }
});

function answer(prompt) {
  if (prompt.includes('help') || prompt.includes('support')) {
    return {
      content: 'These pages may have the answer:',
      content_type: 'article',
      content_attributes: {
        items: [
          { title: 'Help', description: 'Questions and answers', link: 'https://help.example.com' },
          { title: 'Support', description: 'Write to a person', link: 'https://help.example.com/contact' },
        ],
      },
    };
  }
  if (prompt.includes('contact') || prompt.includes('form')) {
    return {
      content: 'Please tell us how we can reach you:',
      content_type: 'form',
      content_attributes: {
        form: {
          title: 'Contact',
          submitUrl: 'https://shop.example.com/contact-form',
          fields: [
            { id: 'name', type: 'text', label: 'Name', required: true },
            { id: 'email', type: 'email', label: 'E-mail', required: true },
            { id: 'message', type: 'textarea', label: 'Message', required: true },
          ],
        },
      },
    };
  }
  return { output: 'Thank you for writing. What can I do for you?' };
}

const server = app.listen(process.env.PORT ?? 3002, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
