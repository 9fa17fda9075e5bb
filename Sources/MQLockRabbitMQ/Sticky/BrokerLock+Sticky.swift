import MQLock

extension BrokerLock {
    /// How long the lock stays here after its release: not at all unless this process was the last to have it.
    final func stickyTime(_ token: FencingToken) -> Duration {
        guard mayStay, Stay.continues(lastGrant, with: token), session?.presence.isWatched(name) == false else {
            return .zero
        }
        return settings.sticky
    }
}
