package com.example.shop;
