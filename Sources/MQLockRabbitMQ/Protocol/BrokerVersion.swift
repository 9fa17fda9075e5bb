/// The version that a broker names in its server properties.
struct BrokerVersion: Sendable, Comparable, CustomStringConvertible {
    let major: Int
    let minor: Int
    let patch: Int

    init(_ major: Int, _ minor: Int, _ patch: Int) {
        (self.major, self.minor, self.patch) = (major, minor, patch)
    }

    /// The version as announced by the broker. A broker that hides its version counts as a recent one, where the
    /// delivery limit has to be set.
    init(announced text: String?) { self = BrokerVersion(text ?? "") ?? BrokerVersion(4, 0, 0) }

    /// Reads `3.10.8`, also with a suffix (`4.0.0-rc.1`, `3.13.7+2`); nil for any other form.
    init?(_ text: String) {
        let core = text.prefix { $0 != "-" && $0 != "+" }
        let numbers = core.split(separator: ".", omittingEmptySubsequences: false).map { Int($0) }
        guard (2...4).contains(numbers.count), let major = numbers[0], let minor = numbers[1] else { return nil }
        self.init(major, minor, numbers.count > 2 ? numbers[2] ?? 0 : 0)
    }

    var description: String { "\(major).\(minor).\(patch)" }

    static func < (left: Self, right: Self) -> Bool {
        (left.major, left.minor, left.patch) < (right.major, right.minor, right.patch)
    }
}
