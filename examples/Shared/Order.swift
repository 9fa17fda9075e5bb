import Foundation

/// An order as it travels through the queue.
public struct Order: Codable, Hashable, Sendable, CustomStringConvertible {
    /// Who ordered.
    public var customer: String
    /// 1, 2, 3… per customer, assigned by the program that accepts orders. With the customer it identifies an order,
    /// and it makes "twice" and "out of turn" visible at the other end.
    public var number: Int
    /// In cents.
    public var amount: Int

    /// Makes an order.
    public init(customer: String, number: Int, amount: Int) {
        self.customer = customer
        self.number = number
        self.amount = amount
    }

    /// Reads a message; nil if it is not an order.
    public init?(message: [UInt8]) {
        guard let order = try? JSONDecoder().decode(Order.self, from: Data(message)), order.number > 0,
            // It becomes a word of a ledger line.
            !order.customer.isEmpty, order.customer.allSatisfy({ !$0.isWhitespace })
        else { return nil }
        self = order
    }

    /// The order as a message.
    public var message: [UInt8] {
        get throws { Array(try JSONEncoder().encode(self)) }
    }

    /// Customer and number.
    public var description: String { "\(customer)/\(number)" }
}
