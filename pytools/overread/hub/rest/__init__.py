"""What the areas below ``/data`` have in common: names, lists, bodies, the items a path names.

``names``     XNAT's short names and XML paths
``locate``    from a path's parameters to items, with rights checked
``fields``    from a query string, form or XML body to values
``columns``   from a name to a column of the database
``lists``     tables: columns, filters, sorting, paging
``itemjson``  one item as JSON
"""
