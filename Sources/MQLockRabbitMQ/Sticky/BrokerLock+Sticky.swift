import MQLock

extension BrokerLock {
    /// How long the lock stays here after its release. Not at all unless this process was the last to have it, too: then
    /// whoever waits for it has come after us, so its want reaches us †.
    final func stickyTime(_ token: FencingToken) -> Duration {
        guard mayStay, let lastGrant, lastGrant.rawValue + TokenNumber.step == token.rawValue,
            session?.presence.isWatched(name) == false
        else { return .zero }
        return settings.sticky
    }
}
