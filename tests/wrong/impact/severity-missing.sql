-- /// detection
-- title = "Somebody deleted pods"
-- status = "stable"
-- key = ["username"]
-- summary = "{username} deleted pods"
-- description = "Look who it was."
-- ///
SELECT username FROM audit WHERE verb = 'delete'
