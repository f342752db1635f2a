"""Migration of a data directory to another place: the lake, dead letters, state and what people wrote, each verified.

    guard         nobody else may write to the source meanwhile
    places        folders and object stores by a few verbs, and the note of a migration in each
    tables        Delta tables: files in an order that shows nobody half a table, and what they hold as it is read
    dead_letters  batches, byte for byte
    state         rows of the state database, in one transaction
    service       the order of it all

The source is never changed. A destination says that it is being filled until all of it is there, and no console opens
it before; killed at any moment, the same command goes on where it was.
"""
