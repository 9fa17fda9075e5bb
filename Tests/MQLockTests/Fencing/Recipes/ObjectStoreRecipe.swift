import MQLock

/// What an object store has to offer: a PUT that happens only if the object is as it was seen.
protocol ObjectStore {
    /// HEAD: the entity tag and the metadata `mqlock-fence`; nil when there is no such object.
    func head(_ key: String) throws -> (tag: String, fence: FencingToken)?
    /// PUT with the token as metadata, and with `If-Match: tag`, or `If-None-Match: *` for nil.
    /// - Returns: false for 412 (and S3's 409): the object is another by now.
    func put(_ key: String, _ body: String, fence: FencingToken, ifMatch tag: String?) throws -> Bool
}

/// Writes an object if no larger token has written it; false when the token is stale.
func write(_ body: String, to key: String, under token: FencingToken, in store: some ObjectStore) throws -> Bool {
    while true {
        let seen = try store.head(key)
        if let seen, seen.fence > token { return false }
        // Somebody may write between the two: then the tag is another, and we look again.
        if try store.put(key, body, fence: token, ifMatch: seen?.tag) { return true }
    }
}
