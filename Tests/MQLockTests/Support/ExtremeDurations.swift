import MQLock

extension Duration {
    /// Every limit that a number behind a duration has, and what is around zero.
    static let extremes: [Duration] = [
        Duration(attoseconds: .max), .seconds(Int64.max), .milliseconds(Int64.max), .nanoseconds(Int64.max), .longest,
        Duration(attoseconds: 1), .zero, Duration(attoseconds: -1), .nanoseconds(Int64.min), .milliseconds(Int64.min),
        .seconds(Int64.min), Duration(attoseconds: .min),
    ]
}
