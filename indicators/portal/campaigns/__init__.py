"""Pages of campaigns: `pages` reads and shows, `acts` says; `marks`, `picture`, `lanes` and `wording` are pure."""
