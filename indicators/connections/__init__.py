"""Other exchanges: pull from and push to the TAXII servers and MISP instances of others, through the same door.

    a row that is due -> claimed -> pages of the other server -> publish as its partner, into the audience that it names
                                 -> one's own changes -> what its marking allows -> the other server

`keeping` is who has which connection; `running` claims and concludes; `pulling` and `pushing` are the two ways, `taxii`
and `misp` what is said on the wire, `events` what of MISP becomes indicators. `taking` is what may come in, of either;
`checking` finds what came in and is gone there. Nothing widens an audience: what comes in goes where the connection
says and no further than its marking, what goes out is the partner's own, named, and not stricter than the connection
says.
"""
