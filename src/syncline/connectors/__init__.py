"""Both services as the engine sees them: the bases in `base`, one module or folder for each service.

Nothing is imported here, so that using one connector never loads another.
"""
