-- /// detection
-- title = "A token of another tenant was presented"
-- severity = "high"
-- status = "stable"
-- attack = ["T1528", "T1078.004"]
-- section = [1]
-- categories = ["guard"]
-- key = ["cluster", "issuer"]
-- suppress = "1d"
-- summary = "A token issued by {issuer} was presented to {cluster}, which expects {expected}"
--
-- description = """
-- Somebody signed in with a token of a directory that is not the cluster's: a stolen or self-made token tried out, or a
-- person logged in to the wrong tenant. A token of the right tenant in another version
-- (login.microsoftonline.com/…/v2.0) does not count. Guard's line names neither user nor address: the 401s of the audit
-- log at that time have the address. Needs the category guard; there is no body. If the tenant is not one of yours,
-- look at everything that address did.
-- """
-- false_positives = [
--   "Administrators of several tenants with the wrong az account; a pipeline configured for another tenant",
-- ]
-- follow_up = ["guard-failures"]
-- ///

SELECT
    cluster,
    coalesce(regexp_match(message, 'got \\?"([^"\\]+)')[1], 'unknown') AS issuer,
    coalesce(regexp_match(message, 'expected \\?"([^"\\]+)')[1], 'unknown') AS expected,
    message
FROM control_plane
WHERE
    category = 'guard'
    AND message LIKE '%issued by a different provider%'
    AND NOT coalesce(
        regexp_match(message, 'expected \\?"https?://[^/"]+/([0-9A-Fa-f-]{36})')[1]
            = regexp_match(message, 'got \\?"https?://[^/"]+/([0-9A-Fa-f-]{36})')[1],
        false
    )
