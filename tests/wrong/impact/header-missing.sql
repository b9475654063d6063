SELECT username FROM audit WHERE verb = 'delete'
