"""The same requests through a live nginx and through Penstock under the same configuration.

README.md says how to add a case. Every way in which the two differ stands in known.toml with its reason, in words in
docs/differences.md.

    differential.cases      Case, Area: what is sent, by the client and by the backend
    differential.spelling   how bytes are written in the files of cases
    differential.backend    one backend for both proxies: takes down what reaches it, answers as the case says
    differential.client     one connection of one case
    differential.run        an area of cases through both proxies
    differential.observe    what was seen, with all that may differ made equal
    differential.compare    how two observations differ
    differential.known      the table of known differences

`python -m differential [AREA[/CASE] ...]`, from tests/, shows what both answered.
"""
