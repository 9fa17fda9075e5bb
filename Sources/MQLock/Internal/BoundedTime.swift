extension Duration {
    /// A hundred years, which stand for "no limit": added to the current instant, they give one that every clock can
    /// show and 64 bits of nanoseconds can hold.
    package static let longest = Duration.seconds(100 * 366 * 24 * 3600)

    /// This duration, and at most ``longest`` in either direction: use it for a duration that comes from outside.
    package var bounded: Duration { min(max(self, .zero - .longest), .longest) }
}

extension ContinuousClock.Instant {
    /// The instant this long after this one. Any duration will do: it is ``Swift/Duration/bounded``.
    package func after(_ duration: Duration) -> Self { advanced(by: duration.bounded) }

    /// The instant this long before this one. Any duration will do: it is ``Swift/Duration/bounded``.
    package func before(_ duration: Duration) -> Self { advanced(by: .zero - duration.bounded) }
}
