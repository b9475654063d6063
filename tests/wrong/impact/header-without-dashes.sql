-- /// detection
title = "x"
-- ///
SELECT username FROM audit WHERE verb = 'delete'
