"""One row for each route: how it is asked, who is let in, and whether objects show.

row    what a row says
rest   taxii  pages   the rows, by face: a new route has its own here
scene  the objects that each route is asked for, and whose they are
"""
