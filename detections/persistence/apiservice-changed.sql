-- /// detection
-- title = "A part of the API was handed to a service"
-- severity = "high"
-- status = "stable"
-- attack = ["T1557", "T1546"]
-- section = [6, 8]
-- key = ["cluster", "username", "name"]
-- suppress = "1d"
-- summary = "{username} wrote or deleted ({verb}) APIService {name} of {cluster}, served by {service}, TLS unchecked: {insecure}, from {client_ip}"
--
-- description = """
-- The API server passes every request for an aggregated API to the service an APIService names, with the identity of
-- the caller: who registers one sees those requests and answers them as he likes, and one that is deleted takes its
-- API away (metrics, autoscaling). AKS, system:apiserver, lists/apiservice_managers.csv, lists/workload_deployers.csv,
-- lists/cleanup_controllers.csv and dry runs do not count. No body is needed; without one (level Metadata, or cut)
-- service and insecure are not known. Look at the service's pods and their image.
-- """
-- false_positives = [
--   "metrics-server, KEDA or a metrics adapter installed by hand: add operators to lists/apiservice_managers.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    coalesce(name, 'all that were selected') AS name,
    coalesce(
        concat(object -> 'spec' -> 'service' ->> 'namespace', '/', object -> 'spec' -> 'service' ->> 'name'),
        'not logged'
    ) AS service,
    coalesce(object -> 'spec' ->> 'insecureSkipTLSVerify', 'not logged') AS insecure,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch', 'delete', 'deletecollection')
    AND resource = 'apiservices'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('apiservice_managers', username)
    AND NOT listed('workload_deployers', username)
    AND NOT listed('cleanup_controllers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
