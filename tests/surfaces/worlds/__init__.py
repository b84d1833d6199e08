"""Two worlds that differ only in what some do unseen by one reader: how they are made, and how they are read.

stage    who is there, and the history that both worlds share
hidden   what others do that the reader may not see
deeds    more of that: what they do with their own, over REST
writing  which of these acts stands for each route that writes
asking   one request: how it is sent, and read page after page
readings everything that the reader can look at, route by route
doing    everything that they can do
seen     an answer without what is sealed or drawn: what is left must be equal
pinned   time, and all that is drawn, so that nothing but the hidden acts differs
"""
