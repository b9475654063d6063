-- /// detection
-- title = "Somebody deleted pods"
-- severity = high
-- status = "stable"
-- key = ["username"]
-- summary = "{username} deleted pods"
-- description = "Look who it was."
-- ///
SELECT username FROM audit WHERE verb = 'delete'
