extension LockMetrics {
    /// What the label `lock` of a metric says.
    ///
    /// Lock names often hold ids of customers or orders. One time series for each would let a service's users break its
    /// monitoring. So there is no label unless its values are bounded.
    public struct NameLabel: Sendable {
        /// The value of all names that have no value of their own.
        package static let other = "other"
        /// No label: one series for all locks.
        public static let none = Self(maximum: 0, fixed: nil, classify: nil)

        /// How many values there are at most, `other` not counted.
        let maximum: Int
        /// The values that are there from the beginning.
        let fixed: [LockName]?
        private let classify: (@Sendable (LockName) -> String)?

        private init(maximum: Int, fixed: [LockName]?, classify: (@Sendable (LockName) -> String)?) {
            self.maximum = maximum
            self.fixed = fixed
            self.classify = classify
        }

        /// These names, each with its own series; all others share `other`.
        public static func only(_ names: some Sequence<LockName>) -> Self {
            let allowed = Set(names)
            return Self(maximum: allowed.count, fixed: allowed.sorted { $0.string < $1.string }) { name in
                allowed.contains(name) ? name.string : other
            }
        }

        /// What `classify` says of each name, such as the part before a slash.
        /// - Parameters:
        ///   - maximum: how many different values get a series of their own, first come, first served; further ones
        ///     count as `other`.
        ///   - classify: called for every event, on the observer's thread. Values are cut after 200 characters.
        public static func classes(
            atMost maximum: Int = 20, _ classify: @escaping @Sendable (LockName) -> String
        ) -> Self {
            Self(maximum: max(0, maximum), fixed: nil, classify: classify)
        }

        var isUsed: Bool { classify != nil }

        /// The label's value as it is shown, before it is known whether there is room for it; nil without a label.
        func text(_ name: LockName) -> String? { classify.map { Self.shown($0(name)) } }

        /// Two values that would look the same are one.
        static func shown(_ text: String) -> String { String(text.prefix(200)).escapedForDisplay }
    }
}
