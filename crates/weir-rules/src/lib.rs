//! The rule language: facts and their types, CEL lowered to a bounded form, index, combining, examples. Pure.
