"""The publish page: `pages` shows, `acts` builds, sends and deletes; raw personal values stay in the browser."""
