/// Something that happened to a scheduled job in this program.
public struct ScheduleEvent: Sendable {
    /// What happened.
    public let kind: Kind
    /// The tick, in milliseconds since 1970.
    public let tick: Int64
    /// When, by the provider's clock.
    public let instant: ContinuousClock.Instant
    /// The number of the grant: on `began`.
    public let fencingToken: FencingToken?
    /// Who did the job and when: on `skipped`.
    public let mark: DoneMark?
    /// The error that the job or the lock threw: on `failed` and `retrying`.
    public let error: (any Error)?

    /// What can happen; new kinds may come with minor versions.
    public struct Kind: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String { case began, done, skipped, failed, retrying, missed }
        private let value: Value

        /// The job begins.
        public static let began = Self(value: .began)
        /// The job is done and marked.
        public static let done = Self(value: .done)
        /// The job had been done before, by the program that the mark names, or a later tick had been.
        public static let skipped = Self(value: .skipped)
        /// The job threw an error, or the lock threw one that a retry cannot cure; this program does not try this tick
        /// again.
        public static let failed = Self(value: .failed)
        /// The broker could not be reached, or the lock was lost; the tick is tried again after a growing delay.
        public static let retrying = Self(value: .retrying)
        /// The tick was skipped, and perhaps others before it too: it could not be started in time.
        public static let missed = Self(value: .missed)

        /// The kind's name.
        public var description: String { value.rawValue }
    }
}

extension ScheduleEvent: CustomStringConvertible {
    /// The event in a line, for display.
    public var description: String {
        let details = [mark.map { "\($0)" }, error.map { String(describing: $0).escapedForDisplay }].compactMap(\.self)
        return (["\(kind) \(Period(.tick(tick)))"] + details).joined(separator: ": ")
    }
}
